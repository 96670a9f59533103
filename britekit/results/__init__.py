"""Statistics over detections and verdicts: what a biologist reports.

In: arrays of detection scores, verdicts about a sample of them, sites and times. Out: estimates with
intervals. Nothing here knows models.

- ``recordings``: recordings by name, with site and time
- ``candidates``: detections by columns, with site and clock time
- ``queues``: ways to draw a sample of them, one file each
- ``clips``: stretches of a recording cut out into files; ``cutting`` does so for a sample of detections
- ``listened``: what was analyzed, with site and time; ``class_thresholds``: scores from which detections count
- ``effort``: hours of sound per site, date and hour, and detections on the same calendar
- ``activity``, ``sun``: when and where classes are heard, as tables, pictures and a page
- ``histories``: detection histories for occupancy models
- ``review``: one reviewer's way through a sample, stored as verdicts; ``review_queue`` builds one
- ``judged``: verdicts matched with detections
- ``precision_report``, ``page``: what they say, as tables, a picture and a page
- ``precision``: precision at a threshold and the number of true detections, from a sample of verdicts
"""
