"""Settings of the PostgreSQL that comes with Kehu, written into its `kehu.conf` at each start."""

import os
from pathlib import Path

PORT = 5432  # only names the socket file; fixed, so that a PGPORT of the caller changes nothing

SETTINGS = {
    "listen_addresses": "''",
    "port": str(PORT),
    "unix_socket_permissions": "0777",  # the folder around it is private; passwords are asked anyhow
    "max_connections": "100",
    "shared_preload_libraries": "'pg_stat_statements'",
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

_MB = 1024 * 1024
_CGROUP = Path("/sys/fs/cgroup/memory.max")


def of_memory() -> dict[str, str]:
    """How much PostgreSQL keeps in memory: an eighth of what there is, from 128 MB to 2 GB.

    Whoever changes many customers at once changes all their indexes, which then need not be read again and again.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MB
    limit = _CGROUP.read_text(encoding="ascii").strip() if _CGROUP.exists() else "max"
    if limit.isdecimal():
        memory = min(memory, int(limit) // _MB)
    return {
        "shared_buffers": f"{max(128, min(memory // 8, 2048))}MB",
        "effective_cache_size": f"{max(512, memory // 2)}MB",
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
