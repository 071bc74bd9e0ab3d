"""The engines that a job runs on beside this process: one file each, imported when it is asked for."""
