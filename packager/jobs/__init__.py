"""Applications and job runs of EMR Serverless: what to ask for, and what the answers mean. Pure.

AWS is behind the ports of `packager.jobs.ports`; time is one of them.
"""
