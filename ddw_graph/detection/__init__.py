"""Detectors on wired backbones: Faster R-CNN with a feature pyramid, COCO's data."""
