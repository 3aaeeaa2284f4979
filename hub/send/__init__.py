"""Sends the rows of a file into the hub, over REST or through a Kafka topic; every rerun gives the same ids."""

from hub.send.errors import SendError
from hub.send.run import Options, Progress, Summary, send_file

__all__ = ["Options", "Progress", "SendError", "Summary", "send_file"]
