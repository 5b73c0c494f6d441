"""The body and its motion: poses, kinematic beats, dance units, and the dance as an object and as files.

pose         14 joints, limbs, mirror image, and the features that networks see
kinematics   motion of the joints, directogram, kinematic beats
units        dances cut at their beats into dance units, and back
warp         monotone time maps between anchors
skeleton     a tree of joints, forward and inverse kinematics
bvh          BVH files: read and written
dance        a clip, a generated dance, and its files (npz, JSON, BVH)
"""
