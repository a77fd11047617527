/* Functions per level. */
#include "ball_mass.h"

ISA_TABLES(ball_table, BALL_FUNCTIONS, ISA_NONE)
