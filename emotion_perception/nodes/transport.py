"""What Fast DDS is told so that whole images arrive."""

#: Environment variables to set before ROS starts; other DDS vendors ignore them.
#:
#: A publisher leaves its messages in a shared segment of memory, which as Fast DDS comes is smaller
#: than one raw VGA image; it is twice the size of the sockets. Unlike with LARGE_DATA, processes
#: that have this setting and processes that do not still see each other.
FAST_DDS_SETTINGS = {'FASTDDS_BUILTIN_TRANSPORTS': 'DEFAULT?sockets_size=4MB'}
