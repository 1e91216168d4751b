#!/bin/sh
exec ../../shop
