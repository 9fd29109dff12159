// What monitoring mixins export, from the same files that are used without one.
{
  prometheusAlerts+:: std.parseYaml(importstr '../prometheus/alerts.yml'),
  prometheusRules+:: std.parseYaml(importstr '../prometheus/rules.yml'),
  grafanaDashboards+:: {
    'cryptshare.json': import '../grafana/dashboards/cryptshare.json',
  },
}
