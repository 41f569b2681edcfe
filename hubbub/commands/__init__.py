"""The commands of `hubbub`. Each file is one of them, or one group, and is imported when it is asked for (`catalogue`)."""
