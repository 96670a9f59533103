"""Statistics over detections and verdicts: what a biologist reports.

In: arrays of detection scores, verdicts about a sample of them, sites and times. Out: estimates with
intervals. Nothing here reads recordings or models.

- ``precision``: precision at a threshold and the number of true detections, from a sample of verdicts
"""
