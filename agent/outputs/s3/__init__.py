"""Alarms with their images as objects in an S3 bucket. Needs the extra `s3`, so nothing is imported here.

`keys.py` names the objects, `client.py` uploads them, `output.py` is the output.
"""
