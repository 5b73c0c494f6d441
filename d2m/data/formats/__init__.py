"""Readers of formats of other programs and data sets, one a module; d2m/data/FORMATS.md describes each.

dance_with_melody   pairs of Dance with Melody as published
columns             what the columns of keypoints hold
keypoints           OpenPose, AlphaPose, COCO and MediaPipe keypoints
aist                AIST++ keypoints and motions
bvh                 BVH files of any dancer
asf_amc             ASF and AMC files, as of CMU's motion capture database
"""
