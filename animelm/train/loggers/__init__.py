"""Where a run is logged: pictures, tables and settings in every kind of logger."""
