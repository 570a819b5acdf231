"""What a run will find: this machine, the cluster and the results folder examined before anything trains."""
