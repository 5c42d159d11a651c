"""A Spark job over the log: how often each kind of message came for each user, sent on.

    pip install 'heimdall-reactive[nats,spark]'    # and Java 17
    python examples/dataflow/spark_job.py nats://localhost:4222 USERS wss://example.org/counts

The messages are Heimdall's, which an ingest has put into the stream `USERS`. Ctrl-C ends the job;
it goes on where it was, as long as its folder `checkpoint` is there.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from heimdall_reactive.dataflow.spark import each_batch, register


def session(master: str = "local[2]") -> SparkSession:
    """Start Spark on this machine, reachable from this machine only."""
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    spark = (
        SparkSession.builder.master(master)
        .appName("heimdall")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "4")
        .getOrCreate()
    )
    register(spark)
    return spark


def messages(spark: SparkSession, servers: str, stream: str, **options: Any) -> DataFrame:
    """Read the nine messages, as one wide row each."""
    return (
        spark.readStream.format("heimdall")
        .option("servers", servers)
        .option("stream", stream)
        .option("startingOffsets", "earliest")
        .option("maxRecordsPerBatch", 50_000)
        .options(**options)
        .load()
    )


def counts(frame: DataFrame) -> DataFrame:
    """Count by user and kind; what is not a message of ours is counted too, as `invalid`."""
    return frame.selectExpr(
        "coalesce(user_id, '') as user", "coalesce(type, 'invalid') as kind"
    ).groupBy("user", "kind").count()  # fmt: skip


def main(servers: str, stream: str, endpoint: str) -> None:
    """Run until it is stopped."""
    totals = counts(messages(session(), servers, stream))
    query = (
        totals.writeStream.outputMode("update")
        .option("checkpointLocation", "checkpoint")
        .foreachBatch(each_batch(endpoint=endpoint, keyColumns="user,kind", ackField="ack"))
        .start()
    )
    query.awaitTermination()


if __name__ == "__main__":
    main(*sys.argv[1:])
