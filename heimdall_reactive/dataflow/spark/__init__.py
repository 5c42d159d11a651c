"""The log for Apache Spark: the format `heimdall`, a source and a sink. Needs the extra `spark`.

>>> register(spark)
>>> frame = spark.readStream.format("heimdall").option("stream", "TICKS").load()
"""

from .failures import DataLost, LogUnavailable, PeerUnavailable, RecordRejected
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
