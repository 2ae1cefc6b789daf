"""The MQTT broker beside the agent: its rules, the embedded one (aMQTT) and Mosquitto, both as
child processes under supervision. A broker keeps nothing: what it loses the device sends again.
"""
