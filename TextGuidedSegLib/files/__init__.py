"""What reading image files takes, one idea a file; `TextGuidedSegLib.io` is the door.

Reading order:
    file_formats, completeness          which format a file has, and whether it was cut off
    itk                                 the only file that calls SimpleITK
    dicom_film, dicom_series            the rules of DICOM for films and for series of slices
"""
