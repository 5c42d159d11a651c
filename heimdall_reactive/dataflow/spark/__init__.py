"""The log for Apache Spark: the format `heimdall`, a source and a sink. Needs the extra `spark`.

>>> register(spark)
>>> frame = spark.readStream.format("heimdall").option("stream", "TICKS").load()
"""

try:
    import pyspark.sql.streaming.datasource as _  # noqa: F401 - since 4.2
except ImportError:
    raise ImportError(
        "the format heimdall needs Spark 4.2 or later: pip install 'heimdall-reactive[nats,spark]'"
    ) from None

from .exceptions import DataLost, LogUnavailable, PeerUnavailable, RecordRejected
from .source import HeimdallDataSource, each_batch, register

__all__ = [
    "DataLost",
    "HeimdallDataSource",
    "LogUnavailable",
    "PeerUnavailable",
    "RecordRejected",
    "each_batch",
    "register",
]
