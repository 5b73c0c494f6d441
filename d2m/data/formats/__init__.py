"""Readers of formats of other programs and data sets, one a module; d2m/FORMATS.md describes each.

dance_with_melody   pairs of Dance with Melody as published
columns             what the columns of keypoints hold
keypoints           OpenPose, COCO and MediaPipe keypoints
aist                AIST++ keypoints
bvh                 BVH files of any dancer
"""
