"""Where tasks run: processes on this machine, or a cluster; knows no experiment."""
