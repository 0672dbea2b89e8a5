"""Tests of the OPC UA server."""
