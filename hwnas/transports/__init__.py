"""How a device is reached: this machine, another interpreter, ssh, adb; and the user's own file that says which."""
