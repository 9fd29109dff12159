"""Grafana's alert rules of the same expressions as those of Prometheus."""

import re
from pathlib import Path

import yaml

from dashboard import UID, dashboard

def kebab(name):
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


def panel_about(expr, panels):
    """The first panel that shows a metric of `expr`."""
    metrics = re.findall(r"cryptshare_\w+", expr)
    for one in panels:
        told = " ".join(target["expr"] for target in one.get("targets", []))
        if any(re.search(rf"\b{metric}(_bucket)?\b", told) for metric in metrics):
            return one["id"]
    return None


def rule(alert, panels):
    """Grafana's rule of one of Prometheus: it fires for each series that the same
    expression gives, whatever its value is."""
    # There $value is a text of all values.
    texts = {key: re.sub(r"\$value\b", "$values.A.Value", text) for key, text in alert["annotations"].items()}
    math = {"refId": "B", "type": "math", "expression": "is_number($A) || is_nan($A) || is_inf($A)"}
    over = {"refId": "C", "type": "threshold", "expression": "B", "conditions": [{"evaluator": {"type": "gt", "params": [0]}}]}
    shown = panel_about(alert["expr"], panels)
    made = {
        "uid": kebab(alert["alert"]),
        "title": alert["alert"],
        "condition": "C",
        "data": [
            {
                "refId": "A",
                "relativeTimeRange": {"from": 600, "to": 0},
                "datasourceUid": "prometheus",
                "model": {"refId": "A", "instant": True, "expr": alert["expr"]},
            },
            {"refId": "B", "datasourceUid": "__expr__", "model": math},
            {"refId": "C", "datasourceUid": "__expr__", "model": over},
        ],
        "for": alert.get("for", "0s"),
        "noDataState": "OK",
        "execErrState": "Error",
        "isPaused": False,
        "labels": alert["labels"],
        "annotations": texts,
    }
    if "keep_firing_for" in alert:
        made["keepFiringFor"] = alert["keep_firing_for"]
    if shown:
        made |= {"dashboardUid": UID, "panelId": shown}
    return made


class Quoted(yaml.SafeDumper):
    """Leaves no anchors, for each rule is to be read alone."""

    def ignore_aliases(self, data):
        return True


def rules(alerts: Path):
    panels = dashboard()["panels"]
    groups = [
        {
            "orgId": 1,
            "name": group["name"],
            "folder": "Cryptshare",
            "interval": group.get("interval", "1m"),
            "rules": [rule(alert, panels) for alert in group["rules"]],
        }
        for group in yaml.safe_load(alerts.read_text())["groups"]
    ]
    head = (
        "# Made from deploy/prometheus/alerts.yml by python scripts/grafana keep. The data source of\n"
        "# Prometheus must have the uid prometheus, as datasources/prometheus.yml gives it.\n"
    )
    body = yaml.dump({"apiVersion": 1, "groups": groups}, Dumper=Quoted, sort_keys=False, width=1000, allow_unicode=True)
    return head + body
