"""The driver that the Spark tests start, kill and start again: `python -m ... '<JSON>'`.

It counts and sums by key, and sends each change through the sink; `extras` are further jobs.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import count
from pyspark.sql.functions import sum as sum_of

from examples.dataflow.spark_job import counts, messages
from heimdall_reactive.dataflow.spark import each_batch, register

ROOT = Path(__file__).parent.parent.parent
# Short jobs: most of their time would go to the compilers of Java, and of Spark.
JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
QUICK = {
    "spark.python.authenticate.socketTimeout": "120s",  # 15 s are too few on a busy machine
    "spark.driver.extraJavaOptions": JAVA,
    "spark.executor.extraJavaOptions": JAVA,
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.ui.enabled": "false",
}


def session(given: dict[str, Any]) -> SparkSession:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    options = {
        **QUICK,
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "512m",
        "spark.executor.memory": "512m",
        "spark.executorEnv.PYTHONPATH": str(ROOT),
        "spark.sql.session.timeZone": "UTC",
        "spark.local.dir": given["folder"],
        "spark.worker.cleanup.enabled": "false",
    }
    builder = SparkSession.builder.master(given["master"]).appName("heimdall-test")
    for name, value in options.items():
        builder = builder.config(name, value)
    made = builder.getOrCreate()
    made.sparkContext.setLogLevel("ERROR")
    return made


def totals(spark: SparkSession, given: dict[str, Any]) -> DataFrame:
    return (
        spark.readStream.format("heimdall")
        .options(**given["source"])
        .load()
        .groupBy("key")
        .agg(count("*").alias("count"), sum_of("value").alias("total"))
    )


def main(given: dict[str, Any]) -> None:
    spark = session(given)
    register(spark)
    query = (
        totals(spark, given)
        .writeStream.foreachBatch(each_batch(**given["sink"]))
        .outputMode("update")
        .option("checkpointLocation", given["checkpoint"])
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    if given.get("extras"):
        Path(given["extras"]["report"]).write_text(json.dumps(extras(spark, given["extras"])))
    spark.stop()


def extras(spark: SparkSession, given: dict[str, Any]) -> dict[str, Any]:
    """Read once all that is in a stream, and write some of it to the log, twice."""
    frame = spark.read.format("heimdall").options(**given["source"]).load()
    rows = [row.asDict() for row in frame.select("type", "user_id", "_error", "_id").collect()]
    good = frame.where("_error is null").select("type", "user_id", "timestamp")
    for _ in range(2):
        good.write.format("heimdall").options(**given["sink"]).mode("append").save()
    streamed = counts(messages(spark, given["source"]["servers"], given["source"]["stream"]))
    checkpoint = given["checkpoint"]
    streamed.writeStream.outputMode("complete").format("heimdall").options(
        **given["sink"] | {"batchId": "", "channel": "counts", "keyColumns": "user,kind"}
    ).trigger(availableNow=True).option("checkpointLocation", checkpoint).start().awaitTermination()
    return {"rows": rows}


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
