"""Tests of the S3 output."""
