"""How a phrase is read, one step a file; `TextGuidedSegLib.phrase` is the door.

Reading order:
    vocabulary                          the words; vocabulary_file reads them, vocabulary_terms and vocabulary_mirror
                                        make the terms and their mirror images
    words, spelling                     words as typed, and as they were meant
    items                               the meaning of each word
    negation, image_side                what is denied; sides of the picture
    groups, places                      what belongs together; the places that are named
"""
