"""Consumers with their own pace: bounded buffers, streams, handlers, views, a scheduler."""
