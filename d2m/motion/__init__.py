"""The body and its motion: poses, kinematic beats, dance units, dances and their files.

pose         14 joints, limbs, mirror image, features for networks
body         orientation and proportions of bodies from outside
kinematics   joint motion, directogram, kinematic beats
units        dances cut at their beats into dance units, and units placed on beats
warp         monotone time maps between anchors
skeleton     a tree of joints, forward and inverse kinematics
bvh          BVH files, read and written
dance        a clip, a generated dance, and its files (npz, JSON, BVH)
"""
