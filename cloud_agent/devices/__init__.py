"""Devices: certificates, enrolment over the cable, claiming, orders to them, the serial console."""
