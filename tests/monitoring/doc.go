// Package monitoring runs a real Prometheus against a cluster, with the chart's rules, asks it
// what the chart's dashboards ask, and draws what they would show. Tests end to end hold
// queries and alerts to it, and the pictures of the dashboards in docs come from it.
package monitoring
