// What shows that a compiler works here, and that the system loads what it makes.
extern "C" int aebench_probe(int x) { return x + 1; }
