"""The database a machine without services gets: a private mongod child process."""
