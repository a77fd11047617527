/* Functions per level. */
#include "distances.h"

ISA_TABLES(distances_table, DISTANCES_FUNCTIONS, ISA_NONE)
