"""The cloud agent: takes signed readings, keeps them encrypted, carries out privacy requests."""
