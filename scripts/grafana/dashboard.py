"""The dashboard: which panels there are, and what they ask."""

from panels import BLUE, GRAY, GREEN, ORANGE, PURPLE, RED, SOURCE, YELLOW
from panels import by_name, fixed, panel, placed, query, row, series, stat, steps

UID = "cryptshare-exporter"

# The senders, and the servers, that the variables choose.
SENDERS = 'server=~"$server", sender=~"$sender"'
SERVERS = 'server=~"$server"'
# Metrics that every process has, of exporters alone.
OURS = "* on (job, instance) group_left () cryptshare_exporter_build_info"

STATES = {
    "pending": "light-blue",
    "processing": BLUE,
    "active": GREEN,
    "failed": RED,
    "deleted_by_expiration": GRAY,
    "deleted_by_revocation": PURPLE,
    "deleted_by_admin": YELLOW,
    "deleted_by_security": ORANGE,
    "unknown": "#c7c7c7",
    "other": "dark-red",
}


def increase(metric, by, more="", senders=SENDERS):
    return f"sum by ({by}) (increase({metric}{{{senders}{more}}}[$__rate_interval]))"


def quantiles(metric, by, senders, legend):
    expr = "histogram_quantile({q}, sum by (le, {by}) (rate({metric}_bucket{{{senders}}}[$__rate_interval])))"
    named = (("p50", 0.5), ("p95", 0.95))
    return [query(expr.format(q=q, by=by, metric=metric, senders=senders), f"{name} {legend}") for name, q in named]

def overview():
    day = "[24h]"
    failures = " + ".join(
        f"sum(increase({metric}{{{SENDERS}}}{day}))"
        for metric in (
            "cryptshare_recipient_notification_failures_total",
            "cryptshare_sender_notification_failures_total",
            "cryptshare_eml_creation_failures_total",
            "cryptshare_files_removed_total",
        )
    )
    none_is_good = ((None, GREEN), (1, ORANGE))
    return [
        stat(
            "Senders up",
            "The share of the senders whose last poll could talk to the server.",
            f"avg(cryptshare_up{{{SENDERS}}})",
            "percentunit",
            ((None, RED), (0.5, ORANGE), (1, GREEN)),
        ),
        stat(
            "Active",
            "Transfers that recipients can retrieve.",
            f'sum(cryptshare_transfers{{{SENDERS}, state="active"}})',
        ),
        stat(
            "Processing",
            "Transfers that the server still examines; their recipients have not been notified.",
            f'sum(cryptshare_transfers{{{SENDERS}, state="processing"}})',
            thresholds=((None, BLUE),),
        ),
        stat(
            "Retrievals, 24 h",
            "Downloads and views by all recipients.",
            f"sum(increase(cryptshare_retrievals_total{{{SENDERS}}}{day}))",
            thresholds=((None, BLUE),),
            decimals=0,
        ),
        stat(
            "Failures, 24 h",
            "Mails that could not be sent, confidential messages that could not be created, and files that the server took out.",
            failures,
            thresholds=none_is_good,
            decimals=0,
        ),
        stat(
            "Expiring unretrieved",
            "Active transfers that end within expiring_within, and of which nobody has retrieved anything.",
            f"sum(cryptshare_transfers_expiring_unretrieved{{{SENDERS}}})",
            thresholds=none_is_good,
        ),
        stat(
            "Guessed passwords, 24 h",
            "Transfers that the server deleted after too many wrong passwords.",
            f'sum(increase(cryptshare_state_transitions_total{{{SENDERS}, state="deleted_by_security"}}{day}))',
            thresholds=((None, GREEN), (1, RED)),
            decimals=0,
        ),
        stat(
            "Next verification ends",
            "How long the verification that ends first is still good. A mailed code renews it where no client id is registered.",
            f"min(cryptshare_verification_expiry_timestamp_seconds{{{SENDERS}}}) - time()",
            "s",
            ((None, RED), (86400, ORANGE), (3 * 86400, GREEN)),
        ),
    ]


def transfers():
    colors = by_name(STATES, color=fixed)
    return [
        series(
            "Transfers by state",
            "What the server lists, and what the configuration or a watch file names.",
            [query(f"sum by (state) (cryptshare_transfers{{{SENDERS}}})", "{{state}}")],
            stacked=True,
            width=12,
            overrides=colors,
        ),
        series(
            "Entries into each state",
            "Transfers that came into a state, those included that had passed it between two polls.",
            [query(increase("cryptshare_state_transitions_total", "state"), "{{state}}")],
            style="bars",
            stacked=True,
            width=12,
            overrides=colors,
        ),
        series(
            "Retrievals",
            "Downloads and views, by the method that the server tells.",
            [query(increase("cryptshare_retrievals_total", "method"), "{{method}}")],
            style="bars",
            stacked=True,
        ),
        series(
            "Not retrieved",
            "Active transfers of which nobody has retrieved anything, those that end soon, and those that are past their end.",
            [
                query(f"sum(cryptshare_transfers_unretrieved{{{SENDERS}}})", "unretrieved"),
                query(f"sum(cryptshare_transfers_expiring_unretrieved{{{SENDERS}}})", "expiring unretrieved"),
                query(f"sum(cryptshare_transfers_overdue{{{SENDERS}}})", "overdue for cleanup"),
            ],
            overrides=by_name({"expiring unretrieved": ORANGE, "overdue for cleanup": GRAY}, color=fixed),
        ),
        series(
            "Ended without a retrieval",
            "Transfers that nobody had retrieved when they ended, by how they ended; and those that the server no longer knows.",
            [
                query(increase("cryptshare_transfers_ended_unretrieved_total", "state"), "{{state}}"),
                query(increase("cryptshare_transfers_vanished_total", "server"), "vanished from {{server}}"),
            ],
            style="bars",
            stacked=True,
            overrides=colors,
        ),
    ]


def failures():
    mails = {
        "recipients": "cryptshare_recipient_notification_failures_total",
        "sender": "cryptshare_sender_notification_failures_total",
        "confidential message": "cryptshare_eml_creation_failures_total",
    }
    return [
        series(
            "Mails that failed",
            "Notifications of recipients, summaries for senders, and confidential messages that could not be created.",
            [query(f"sum(increase({metric}{{{SENDERS}}}[$__rate_interval]))", name) for name, metric in mails.items()],
            style="bars",
            stacked=True,
        ),
        series(
            "Files removed",
            "Files that the server took out of transfers, by the configured class of the cause.",
            [query(increase("cryptshare_files_removed_total", "cause"), "{{cause}}")],
            style="bars",
            stacked=True,
        ),
        series(
            "Transfers with something wrong",
            "Active transfers with a failure, by kind, and all that the server warns of. One may be counted for several kinds.",
            [
                query(f"sum by (kind) (cryptshare_transfers_with_failures{{{SENDERS}}})", "{{kind}}"),
                query(f"sum(cryptshare_transfers_with_warnings{{{SENDERS}}})", "warnings"),
                query(f"sum(cryptshare_transfers_not_found{{{SENDERS}}})", "named, not found"),
            ],
        ),
        series(
            "Processing time",
            "From first seen processing to first seen gone on; wrong by up to the interval of polls.",
            quantiles("cryptshare_processing_duration_seconds", "server", SENDERS, "{{server}}"),
            "s",
            width=12,
        ),
        series(
            "Longest in processing",
            "How long the transfer that has been processing for longest has been so.",
            [
                query(
                    f"time() - min by (server, sender) (cryptshare_transfers_oldest_processing_timestamp_seconds{{{SENDERS}}})",
                    "{{sender}} on {{server}}",
                )
            ],
            "s",
            width=12,
        ),
    ]


def by_transfer():
    """One line for each transfer: the queries of all columns are merged by what
    they have in common, which are the labels."""
    columns = {
        "info": (of("info", ", name"), None),
        "state": (of("state", ", state") + " == 1", None),
        "expires": (of("expiration_timestamp_seconds") + " * 1000", "dateTimeFromNow"),
        "recipients": (of("recipients"), None),
        "have retrieved": (of("recipients_retrieved"), None),
        "retrievals": (f"sum by (server, sender, tracking_id) (cryptshare_transfer_retrievals_total{{{SENDERS}}})", None),
        "last retrieval": (of("last_retrieval_timestamp_seconds") + " * 1000", "dateTimeFromNow"),
        "files": (of("files"), None),
        "removed": (of("files_removed"), None),
        "size": (of("size_bytes"), "bytes"),
        "mails failed": (of("recipient_notifications_failed"), None),
        "summary failed": (of("sender_notification_failed"), "bool_yes_no"),
        "message failed": (of("eml_creation_failed"), "bool_yes_no"),
        "warnings": (of("warnings"), "bool_yes_no"),
    }
    values = [f"Value #{chr(ord('A') + index)}" for index in range(len(columns))]
    # The first two are 1 for what their labels say.
    tellers, shown = values[:2], dict(list(zip(values, columns))[2:])
    order = ["tracking_id", "name", "server", "sender", "state", *shown]
    wrong = ("removed", "mails failed", "summary failed", "message failed", "warnings")
    units = {name: unit for name, (_, unit) in columns.items() if unit}
    about = "What the exporter shows one by one: at most max_transfers, first those that the configuration names and those with something wrong."
    options = {"cellHeight": "sm", "showHeader": True, "sortBy": [{"displayName": "expires", "desc": False}]}
    defaults = {"custom": {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": False}}
    overrides = [*by_name(units, unit=str), *(red_from_one(name) for name in wrong)]
    queries = [query(expr, instant=True, table=True) for expr, _ in columns.values()]
    made = panel("table", "Transfers", about, queries, 24, 11, "short", defaults, options, overrides)
    organize = {
        "excludeByName": dict.fromkeys(["Time", *tellers], True),
        "indexByName": {name: index for index, name in enumerate(order)},
        "renameByName": {"tracking_id": "tracking id", **shown},
    }
    return [{**made, "transformations": [{"id": "merge", "options": {}}, {"id": "organize", "options": organize}]}]


def of(metric, more=""):
    """A gauge of each transfer, whoever scrapes it."""
    return f"max by (server, sender, tracking_id{more}) (cryptshare_transfer_{metric}{{{SENDERS}}})"


def red_from_one(name):
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [
            {"id": "thresholds", "value": steps((None, "text"), (1, RED))},
            {"id": "custom.cellOptions", "value": {"type": "color-text"}},
        ],
    }


def exporter():
    requests = f"sum by (server, code) (rate(cryptshare_exporter_api_requests_total{{{SERVERS}}}[$__rate_interval]))"
    return [
        series(
            "Age of the last good poll",
            "Counters stand still, and gauges go after stale_after, while this grows.",
            [
                query(
                    f"time() - max by (server, sender) (cryptshare_exporter_last_successful_poll_timestamp_seconds{{{SENDERS}}})",
                    "{{sender}} on {{server}}",
                )
            ],
            "s",
        ),
        series(
            "Polls that failed",
            "By reason; the runbook of each is on the exporter at /runbooks/REASON.",
            [query(increase("cryptshare_exporter_poll_failures_total", "server, reason"), "{{reason}} on {{server}}")],
            style="bars",
            stacked=True,
        ),
        series(
            "Requests to the server",
            "By status of HTTP; none if no answer came.",
            [query(requests, "{{code}} of {{server}}")],
            "reqps",
            stacked=True,
        ),
        series(
            "Duration of requests",
            "Bodies included, all endpoints together.",
            quantiles("cryptshare_exporter_api_request_duration_seconds", "server", SERVERS, "{{server}}"),
            "s",
        ),
        series(
            "Duration and lag of polls",
            "How long the last poll took, and how late polls began.",
            [
                query(f"max by (server) (cryptshare_exporter_poll_duration_seconds{{{SENDERS}}})", "longest of {{server}}"),
                query(
                    "histogram_quantile(0.95, sum by (le) (rate(cryptshare_exporter_schedule_lag_seconds_bucket[$__rate_interval])))",
                    "p95 of the lag",
                ),
            ],
            "s",
        ),
        series(
            "Answers not understood",
            "Items that were left out, and words that this exporter does not know.",
            [
                query(
                    increase("cryptshare_exporter_rejected_items_total", "server, reason", senders=SERVERS),
                    "{{reason}} of {{server}}",
                ),
                query(
                    increase("cryptshare_exporter_unknown_values_total", "server, field", senders=SERVERS),
                    "unknown {{field}} of {{server}}",
                ),
            ],
            style="bars",
            stacked=True,
        ),
        series(
            "Clock of the server",
            "Its Date header minus the exporter's own clock.",
            [query(f"cryptshare_exporter_server_clock_offset_seconds{{{SERVERS}}}", "{{server}}")],
            "s",
            min=None,
        ),
        series(
            "Breaker, and transfers not shown",
            "1 while a server is asked by single probes alone; and how many transfers max_transfers leaves out.",
            [
                query(f"cryptshare_exporter_api_breaker_open{{{SERVERS}}}", "breaker of {{server}}"),
                query(f"sum by (server) (cryptshare_exporter_transfers_not_exported{{{SENDERS}}})", "not shown of {{server}}"),
            ],
        ),
        series(
            "Ledger",
            "Transactions, and those that failed. Counters wait until one succeeds.",
            [
                query("sum by (instance) (rate(cryptshare_exporter_ledger_commits_total[$__rate_interval]))", "{{instance}}"),
                query(
                    "sum by (instance) (rate(cryptshare_exporter_ledger_commit_failures_total[$__rate_interval]))",
                    "failed on {{instance}}",
                ),
            ],
            "ops",
        ),
        series(
            "Memory, and size of the ledger",
            "Resident memory of the process, and the file in the state directory.",
            [
                query(f"process_resident_memory_bytes {OURS}", "memory of {{instance}}"),
                query("cryptshare_exporter_ledger_size_bytes", "ledger of {{instance}}"),
            ],
            "bytes",
            width=12,
        ),
        series(
            "Processor",
            "Seconds of the CPU that the process takes in each second.",
            [query(f"rate(process_cpu_seconds_total[$__rate_interval]) {OURS}", "{{instance}}")],
            "s",
            width=12,
        ),
    ]


def variable(name, label, values):
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": values, "refId": name},
        "definition": values,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def annotation(name, expr, color, title):
    return {
        "name": name,
        "datasource": SOURCE,
        "enable": True,
        "hide": False,
        "expr": expr,
        "iconColor": color,
        "step": "1m",
        "titleFormat": title,
        "textFormat": "{{instance}}",
        "useValueForTime": False,
    }


def dashboard():
    rows = [
        (None, overview()),
        (row("Transfers", []), transfers()),
        (row("Failures and processing", []), failures()),
        (row("One by one", []), by_transfer()),
        (row("The exporter", []), exporter()),
    ]
    reloads = "changes(cryptshare_exporter_config_last_reload_success_timestamp_seconds[2m]) > 0"
    starts = f"changes(process_start_time_seconds[2m]) {OURS} > 0"
    return {
        "uid": UID,
        "id": None,
        "title": "Cryptshare transfers",
        "description": "Transfers of Cryptshare servers, as cryptshare-exporter tells of them.",
        "tags": ["cryptshare"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "timezone": "browser",
        "links": [],
        "annotations": {
            "list": [
                annotation("Reloads", reloads, BLUE, "The configuration was loaded"),
                annotation("Starts", starts, PURPLE, "The exporter was started"),
            ]
        },
        "templating": {
            "list": [
                {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}},
                variable("server", "Server", "label_values(cryptshare_up, server)"),
                variable("sender", "Sender", 'label_values(cryptshare_up{server=~"$server"}, sender)'),
            ]
        },
        "panels": placed(rows),
    }
