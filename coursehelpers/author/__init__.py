"For people who change the course: clean variants, launch links, running notebooks. Not needed to learn."
