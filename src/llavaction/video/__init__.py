"""Video files: what they hold, which frames to take, decoding a clip, finding videos in a folder, writing."""
