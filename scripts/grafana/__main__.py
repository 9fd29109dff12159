"""Makes what deploy/grafana holds: the dashboard, and Grafana's alert rules of the
same expressions as those of Prometheus.

    python scripts/grafana keep     writes the files
    python scripts/grafana check    fails if one is not what would be written

It needs the Python module yaml.
"""

import json
import sys
from pathlib import Path

from dashboard import dashboard
from rules import rules

ROOT = Path(__file__).resolve().parent.parent.parent
ALERTS = ROOT / "deploy/prometheus/alerts.yml"
GRAFANA = ROOT / "deploy/grafana"


def files():
    return {
        GRAFANA / "dashboards/cryptshare.json": json.dumps(dashboard(), indent=2) + "\n",
        GRAFANA / "provisioning/alerting/rules.yml": rules(ALERTS),
    }


def main():
    if sys.argv[1:] == ["keep"]:
        for file, text in files().items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    elif sys.argv[1:] == ["check"]:
        for file, text in files().items():
            if not file.exists() or file.read_text() != text:
                sys.exit(f"{file.relative_to(ROOT)} is not up to date; run: python scripts/grafana keep")
    else:
        sys.exit(__doc__)


main()
