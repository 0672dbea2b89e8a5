"""Commands that make, evaluate, sign and run models; none needs a running agent. Import its modules."""
