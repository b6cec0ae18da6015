"""From a document of networks to the files of the programs that make it true, and back again if it cuts one off."""
