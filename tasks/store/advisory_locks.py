"""Numbers of the advisory locks of our database: all in one place, so that two things never share a number."""

from enum import IntEnum, unique


@unique
class AdvisoryLock(IntEnum):
    """What is locked by a number of its own."""

    # Held for the life of a connection.
    MIGRATION = 7_310_001
    SEALER = 7_310_003
    PLANNING = 7_310_020
    # Held for a transaction.
    STOP = 7_310_002  # stop_key() in the database
    CATCH_UP = 7_310_004
    PARTITIONS = 7_310_013  # in functions of the database
    ROLL_UP = 7_310_014
    ADMINS = 7_310_015
    SETTINGS = 7_310_016
    NOTIFY = 7_310_017
    REFRESHES = 7_310_018  # refresh_key() in the database; a backup holds it for a connection
    TRENDS = 7_310_019
    ALIKE = 7_310_021  # with the number of a stripe beside it
