"""How panels, queries and thresholds are written in a dashboard's JSON."""

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
GREEN, YELLOW, ORANGE, RED, BLUE, PURPLE, GRAY = "green", "yellow", "orange", "red", "blue", "purple", "#8e8e8e"


def query(expr, legend="", instant=False, table=False):
    return {
        "datasource": SOURCE,
        "editorMode": "code",
        "expr": expr,
        "format": "table" if table else "time_series",
        "instant": instant,
        "legendFormat": legend or "__auto",
        "range": not instant,
    }


def steps(*pairs):
    """The first color counts from the least value on."""
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for value, color in pairs]}


def by_name(names, **properties):
    """Overrides of fields by their name: a value for each of `names`."""
    return [
        {
            "matcher": {"id": "byName", "options": name},
            "properties": [{"id": key, "value": make(value)} for key, make in properties.items()],
        }
        for name, value in names.items()
    ]


def fixed(color):
    return {"mode": "fixed", "fixedColor": color}


def panel(kind, title, about, queries, width, height, unit="short", defaults=None, options=None, overrides=()):
    for index, one in enumerate(queries):
        one["refId"] = chr(ord("A") + index)
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "gridPos": {"w": width, "h": height},
        "targets": queries,
        "fieldConfig": {"defaults": {"unit": unit, **(defaults or {})}, "overrides": list(overrides)},
        "options": options or {},
    }


def stat(title, about, expr, unit="short", thresholds=((None, GREEN),), **defaults):
    options = {
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "auto",
    }
    return panel("stat", title, about, [query(expr)], 3, 4, unit, {"thresholds": steps(*thresholds), **defaults}, options)


def series(title, about, queries, unit="short", style="line", stacked=False, width=8, overrides=(), **defaults):
    custom = {
        "drawStyle": style,
        "fillOpacity": {"bars": 80, "line": 12}[style] if not stacked else 60,
        "lineWidth": 1,
        "showPoints": "never",
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    options = {
        "legend": {"calcs": ["lastNotNull"], "displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel("timeseries", title, about, queries, width, 8, unit, {"custom": custom, "min": 0, **defaults}, options, overrides)


def row(title, panels, collapsed=False):
    return {"type": "row", "title": title, "collapsed": collapsed, "panels": panels}


def placed(rows):
    """Gives places and ids to the panels, left to right and top to bottom."""
    panels, top, number = [], 0, 0

    def numbered(one):
        nonlocal number
        number += 1
        return {"id": number, **one}

    for head, members in rows:
        if head:
            panels.append(numbered({**head, "gridPos": {"x": 0, "y": top, "w": 24, "h": 1}}))
            top += 1
        left, height = 0, 0
        for member in members:
            size = member["gridPos"]
            if left + size["w"] > 24:
                left, top, height = 0, top + height, 0
            panels.append(numbered({**member, "gridPos": {"x": left, "y": top, **size}}))
            left, height = left + size["w"], max(height, size["h"])
        top += height
    return panels
