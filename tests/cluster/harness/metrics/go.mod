module lbpool.dev/cluster/metrics

go 1.25.0
