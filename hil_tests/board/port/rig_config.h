// Configuration of the rig image: the port's own, with what the application needs on top.
// It stands in for mpconfigport.h, and it comes first because the port defines without asking.
#ifndef TARE_RIG_CONFIG_H
#define TARE_RIG_CONFIG_H

#include "mpconfigport.h"

#undef MICROPY_PY_TIME
#undef MICROPY_PY_SELECT
#undef MICROPY_PY_ASYNCIO

#define MICROPY_PY_TIME (1)
#define MICROPY_PY_SELECT (1)
#define MICROPY_PY_ASYNCIO (1)

#endif // TARE_RIG_CONFIG_H
