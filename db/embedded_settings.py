"""Settings of the PostgreSQL that comes with Kehu, written into its `kehu.conf` at each start."""

PORT = 5432  # only names the socket file; fixed, so that a PGPORT of the caller changes nothing

SETTINGS = {
    "listen_addresses": "''",
    "port": str(PORT),
    "unix_socket_permissions": "0777",  # the folder around it is private; passwords are asked anyhow
    "max_connections": "100",
    "shared_preload_libraries": "'pg_stat_statements'",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "256MB",
    "min_wal_size": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",  # compiling costs more than the short queries of a screen take
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "password_encryption": "'scram-sha-256'",
    "logging_collector": "on",
    "log_directory": "'log'",
    "log_filename": "'postgresql-%a.log'",  # one file a weekday, emptied when its day comes again
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    # Statements, parameters and DETAIL lines hold customers' values: none of them belongs in a log.
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_error_verbosity": "terse",
}

# For tests: what is lost in a power cut is made again.
FLEETING = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "128MB",
    "autovacuum_naptime": "10min",
}
