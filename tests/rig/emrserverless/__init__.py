"""EMR Serverless for tests: botocore's model of the service, on a clock that tests control.

moto's own keeps applications and runs in one state each, checks nothing and writes no logs. This
one refuses what the model refuses, maxima and patterns included, moves through the documented
states as its clock says, writes logs to S3 and CloudWatch as the User Guide describes them, and
fails as it is told to. It runs no Spark.
"""
