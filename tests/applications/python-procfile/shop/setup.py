print("nothing to set up")
