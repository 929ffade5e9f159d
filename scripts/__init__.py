"What people who keep the course run now and then: not part of the package."
