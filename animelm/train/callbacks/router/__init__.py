"""Statistics of the experts' routers."""
