"""What promtool does not know of this folder: that every figure which is asked for exists, and what Grafana's file asks.

usage: check.py FOLDER   writes there, for promtool to check: dashboard-rules.yaml, each query of the dashboard as a
                         recording rule, and kubernetes-static.yaml, the job for pods with targets instead of the
                         discovery, which not every promtool is built with
"""

import json
import pathlib
import re
import sys

import yaml

HERE = pathlib.Path(__file__).parent
DOCUMENTS = [HERE.parents[1] / "docs" / name for name in ("operations.md", "tunnel.md")]


def documented(texts):
    """Figures that the documents list, in the first cell of a table's row."""
    cells = [line.split("|")[1] for text in texts for line in text.splitlines() if line.startswith("| `snowmelt_")]
    return {name for cell in cells for name in re.findall(r"snowmelt_[a-z_]+", cell)}


def unknown(queries, known):
    return sorted({name for query in queries for name in re.findall(r"\bsnowmelt_[a-z_]+", query)} - known)


def overlaps(panels):
    """Titles of panels that lie on another one."""
    taken, found = {}, []
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        if cells & taken.keys() or at["x"] + at["w"] > 24:
            found.append(panel["title"])
        taken |= dict.fromkeys(cells, panel["title"])
    return found


def main():
    folder = pathlib.Path(sys.argv[1])
    dashboard = json.loads((HERE / "dashboard.json").read_text())
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    alerts = yaml.safe_load((HERE / "alerts.yaml").read_text())
    asked = [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    known = documented(path.read_text() for path in DOCUMENTS)

    # The demands can fail.
    assert unknown(["rate(snowmelt_no_such_total[5m])"], known) == ["snowmelt_no_such_total"]
    assert overlaps([{"title": str(n), "gridPos": {"x": 0, "y": n, "w": 1, "h": 2}} for n in range(2)]) == ["1"]

    problems = [f"{name} is asked for, but neither {' nor '.join(p.name for p in DOCUMENTS)} lists it"
                for name in unknown(shown + asked, known)]
    problems += [f"the dashboard's panel `{title}` lies on another one" for title in overlaps(dashboard["panels"])]
    if len({panel["id"] for panel in dashboard["panels"]}) < len(dashboard["panels"]):
        problems.append("two panels of the dashboard have the same id")
    if not shown or not asked or len(known) < 20:
        problems.append("nothing was compared: dashboard, alerts or the documents' tables are not read any more")

    # What Grafana puts in the place of its variables.
    values = {"$table": ".*", "$role": ".*", "$__rate_interval": "1m"}
    rules = []
    for number, query in enumerate(shown):
        for variable, value in values.items():
            query = query.replace(variable, value)
        rules.append({"record": f"dashboard:query:{number}", "expr": query})
    (folder / "dashboard-rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    pods = yaml.safe_load((HERE / "kubernetes.yaml").read_text())
    for job in pods["scrape_configs"]:
        del job["kubernetes_sd_configs"]
        job["static_configs"] = [{"targets": ["127.0.0.1:9464"]}]
    (folder / "kubernetes-static.yaml").write_text(yaml.safe_dump(pods))
    sys.exit("\n".join(problems) or None)


if __name__ == "__main__":
    main()
